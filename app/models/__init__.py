"""The models that a page can choose: those of this machine, those of other servers, and downloads."""
