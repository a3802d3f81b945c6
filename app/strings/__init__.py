"""Every visible word, one file per language; `app/words.py` reads them."""
