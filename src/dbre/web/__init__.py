"""The control plane's face: a JSON API that describes itself, and pages that work without JavaScript."""
