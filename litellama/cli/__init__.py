"""The command line, a file per command; `main` knows them all, `errors` is the one way out when something is wrong.

What a command was asked for goes to stdout, everything else that it says to stderr: so `--json` prints one JSON
document and nothing else. A checkpoint is named by its folder, its file or its name in `list`:
`litellama.checkpoint.find_checkpoint` finds it, for every command.
"""
