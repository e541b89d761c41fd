"""etcd over its JSON gateway: reads, transactions that compare first, watches, leases, logins."""

from dbre.tools.etcd.client import EtcdClient
from dbre.tools.etcd.model import Compared, EtcdError, Event, KeyValue, LeaseLife, MemberHealth, NoQuorum, Range

__all__ = ["Compared", "EtcdClient", "EtcdError", "Event", "KeyValue", "LeaseLife", "MemberHealth", "NoQuorum", "Range"]
