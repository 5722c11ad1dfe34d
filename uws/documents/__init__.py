"""Jobs as JSON: what pages and scripts read, at the same addresses as the documents of UWS."""
