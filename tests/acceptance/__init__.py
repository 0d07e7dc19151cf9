"""The product on a real Slurm for hours of its clock: is the floor kept where static shares break it?"""
