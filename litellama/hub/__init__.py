"""Models of the Hugging Face hub: looked up, fetched and verified, only when somebody asks for one by name.

`listing` says what a repository holds, `stream` receives one file, `fetch` brings all of them into place and tells
`event` on the way, which the terminal (`commands`) and the app show alike.
"""
