"""The tabs, one file each: a `TITLE` (a key of the strings) and `build(session)`, called inside the page's Blocks."""
