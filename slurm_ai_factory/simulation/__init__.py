"""A model of a Slurm cluster, the work to give it, and what policies make of both. Pure: no I/O, no clock.

The rule: the production code decides, ``core.control.controller.decide``, on the production values. Only what
Slurm does itself is modelled, and each model is checked against Slurm (tests/end_to_end).
"""
