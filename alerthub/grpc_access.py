"""Who may call which RPC (S2). The rule is the method option `(alerthub.api.v1.access)`; what has none is
refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from alerthub.api.v1 import access_pb2
from alerthub.domain.denials import caller_must_be
from alerthub.domain.texts import LocalizedText
from alerthub.identity import Caller, CallerKind

# These two are not ours and carry no option. Health tells a load balancer whether to send calls here;
# reflection shows the wire contract to people and services of the hub.
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
_EVERY_ROLE = tuple(role for role in access_pb2.Role.values() if role != access_pb2.ROLE_UNSPECIFIED)
_EVERY_SERVICE = ("gateway", "correlator", "watchlist", "registry", "dispatch", "push", "console", "canary")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may call one RPC. Nobody named: nobody may."""

    method: str
    """As on the wire: /package.Service/Method."""
    roles: frozenset[access_pb2.Role.ValueType] = frozenset()
    services: frozenset[str] = frozenset()
    terminals: bool = False
    devices: bool = False
    anyone: bool = False

    def allows(self, caller: Caller) -> bool:
        """Whether `caller` may call it."""
        if self.anyone:
            return True
        match caller.kind:
            case CallerKind.PERSON:
                return not self.roles.isdisjoint(caller.roles)
            case CallerKind.SERVICE:
                return caller.name in self.services
            case CallerKind.TERMINAL:
                return self.terminals
            case CallerKind.DEVICE:
                return self.devices
            case CallerKind.ANONYMOUS:
                return False

    @property
    def words(self) -> LocalizedText:
        """Who may, for the refusal."""
        return caller_must_be(
            [access_pb2.Role.Name(role) for role in sorted(self.roles)],
            sorted(self.services),
            terminals=self.terminals,
            devices=self.devices,
        )


@lru_cache(maxsize=1024)
def access_rule(method: str) -> AccessRule:
    """The rule of `/package.Service/Method`. A method that is unknown or has no option allows nobody."""
    service_name, _, method_name = method.lstrip("/").partition("/")
    if service_name == _HEALTH:
        return AccessRule(method, anyone=True)
    if service_name in _REFLECTION:
        return AccessRule(method, roles=frozenset(_EVERY_ROLE), services=frozenset(_EVERY_SERVICE))
    try:
        service = descriptor_pool.Default().FindServiceByName(service_name)
    except KeyError:
        return AccessRule(method)
    descriptor = service.methods_by_name.get(method_name)
    return AccessRule(method) if descriptor is None else _rule_of(descriptor)


def _rule_of(descriptor: MethodDescriptor) -> AccessRule:
    access = descriptor.GetOptions().Extensions[access_pb2.access]
    return AccessRule(
        method_path(descriptor),
        roles=frozenset(access.roles) - {access_pb2.ROLE_UNSPECIFIED},
        services=frozenset(access.services),
        terminals=access.terminals,
        devices=access.devices,
        anyone=access.anyone,
    )


def method_path(descriptor: MethodDescriptor) -> str:
    """`/package.Service/Method`."""
    return f"/{descriptor.containing_service.full_name}/{descriptor.name}"


def rpc_access_table(services: Iterable[str]) -> dict[str, AccessRule]:
    """Every method of the named services (full names) with its rule."""
    pool = descriptor_pool.Default()
    paths = [method_path(m) for name in services for m in pool.FindServiceByName(name).methods]
    return {path: access_rule(path) for path in paths}
