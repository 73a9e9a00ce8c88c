"""The weighted sum of regenerated noise, ``x + sum_j w_j z_j``, in one pass over the weights: a hand-written kernel.

It is what evolution strategies are made of: one member is a perturbation, all of them with their weights are an update. The
noise of a member is that of a ``Normal`` argument of a gene kernel, a function of (seed, stream, gene).
"""
