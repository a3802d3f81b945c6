"""`python -m litellama COMMAND`: the command line, which `litellama/cli/` holds; --help lists the commands."""

from litellama.cli.main import main

if __name__ == "__main__":
    main()
