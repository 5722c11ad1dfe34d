"""The demo survey: a simulated sky, made here so that nothing is downloaded.

The files depend on the recipe alone: the same recipe gives the same bytes, in any number of processes.
"""

from config.demo.make import DemoReport, make_demo
from config.demo.recipe import DEMO, DEMO_OBJECT, RECIPE, DemoCutout, Recipe

__all__ = ["DEMO", "DEMO_OBJECT", "RECIPE", "DemoCutout", "DemoReport", "Recipe", "make_demo"]
