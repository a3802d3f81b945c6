"""TinyTown: a made-up language world in which every question has one right answer, and we know the words it rests on.

`words`, `tellings` and `talk` are data; `story` tells a story and keeps its world; `questions` asks about it; `corpus`
makes conversations of both.
"""
