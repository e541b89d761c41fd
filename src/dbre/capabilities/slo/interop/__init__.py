"""SLO files of other tools: OpenSLO, Sloth, Pyrra and the plain shape of ``slo.yaml``, read and written."""
