"""The kernel's network, as this machine sees it: namespaces, rules about packets, a link that is slow on purpose."""
