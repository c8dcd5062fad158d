"""The retraining controller: when a model is trained anew, and what becomes of what was trained.

`step` decides, and is a pure function; `controller_app` keeps its state in a table of Faust.
"""
