"""Hyperparameter search: which parameters a forecaster is tried with, on which folds, and what came of every trial.

Training asks `trials.best_parameters`; nothing is registered or judged here.
"""
