"""Reports on runs: a page of HTML that holds all it needs. Read from the files of their folders; nothing is trained."""

from ._page import is_report, page, policy
from ._read import NoRun, files_of, read
from ._record import Group, Network, Record

__all__ = ["Group", "Network", "NoRun", "Record", "files_of", "is_report", "page", "policy", "read"]
