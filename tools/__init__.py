"""Code that runs inside the container; it never imports `sandbox`."""
