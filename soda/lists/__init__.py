"""Lists: one job for a table of targets.

A request (`request`) with three levels of settings (`levels`) is split into rows (`split`), whose cutouts are
made (`work`) by the engine of every other request; `manifest` tells what became of them.
"""
