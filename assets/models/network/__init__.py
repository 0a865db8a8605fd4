"""The fusion network: one tower per modality, fused, with heads for a number, its quantiles or a class.

Modules that import torch at the top (`towers`, `losses`, `loop`, `checkpoint`, `tuning`, `training`) are imported lazily by
`forecaster`; a fitted network forecasts without torch (`serving`). The process around a training run is `assets.models.train`.
"""
