"""What rstime uses of GluonTS's core, or a clear error where GluonTS is not installed."""

from __future__ import annotations

from rstime.errors import PackageError

try:
    from gluonts.core.component import validated as validated
    from gluonts.model.estimator import Estimator as Estimator
    from gluonts.model.forecast import SampleForecast as SampleForecast
    from gluonts.model.predictor import Predictor as Predictor
except ModuleNotFoundError as missing:
    raise PackageError("gluonts", "not installed", "Install it: pip install 'rstime[gluonts]'.") from missing
