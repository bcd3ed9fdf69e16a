"""Readers of clinical sources: each returns a long table in known units, and a report of what was left out."""

from rstime.readers.fhir import read_fhir as read_fhir
from rstime.readers.meds import read_meds as read_meds
from rstime.readers.omop import read_omop as read_omop
from rstime.readers.reading import Reading as Reading
from rstime.readers.reading import Report as Report
from rstime.readers.wfdb import read_wfdb as read_wfdb
from rstime.readers.wide import read_wide as read_wide
