"""Stamps of alerts: what a request of them comes to, and the products that are made of them.

`planner` decides which alerts are meant, `product` makes files, arrays and pictures of their stamps.
May import: surveys.picture and what that may, surveys.index, surveys.parquet.
"""
