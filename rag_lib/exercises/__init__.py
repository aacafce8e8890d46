"""Exercises that say what is wrong.

A learner's functions come in; what is wrong with them, hints and solutions go out. The parts that are right are kept in
the learner's `my_rag.py`. The notebooks in `exercises/` are derived here from those in `solutions/`.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "exercise": "Case Exercise Fault judge",
        "catalogue": "CheckFailed NotWritten check hint solution",
        "learner": "keep my_parts report",
        "cells": "check_yours",
        "quizzes": "quiz",
    },
)
