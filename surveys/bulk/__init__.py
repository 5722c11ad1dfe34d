"""Many positions at once: planned together in arrays, with what each would have if it were asked for alone.

Nothing here decides anything anew: where one image has all that a position asks for, what `plan_cutout`
would do is done in arrays; everything else is left to it.
"""
