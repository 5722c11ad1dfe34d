"""How a request becomes a plan: which images, on which grid of pixels, at what price.

It reads the index, never a pixel. `surveys.planner.plan_cutout` is the way in.
"""
