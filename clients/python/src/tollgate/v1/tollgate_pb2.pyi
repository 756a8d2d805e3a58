from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

ACTION_ASSIGN_DID: Action
ACTION_CHARGE: Action
ACTION_INBOUND_CALL: Action
ACTION_OUTBOUND_CALL: Action
ACTION_PROVISION_EXTENSION: Action
ACTION_SEND_MESSAGE: Action
ACTION_UNSPECIFIED: Action
DECISION_ALLOWED: Decision
DECISION_DENIED: Decision
DECISION_UNSPECIFIED: Decision
DESCRIPTOR: _descriptor.FileDescriptor
EXPIRY_POLICY_COMMIT: ExpiryPolicy
EXPIRY_POLICY_RELEASE: ExpiryPolicy
EXPIRY_POLICY_UNSPECIFIED: ExpiryPolicy
LIMIT_KIND_PROFILE_DAILY_SPEND: LimitKind
LIMIT_KIND_TENANT_CONCURRENT_CALLS: LimitKind
LIMIT_KIND_TENANT_DAILY_MESSAGES: LimitKind
LIMIT_KIND_TENANT_DAILY_SPEND: LimitKind
LIMIT_KIND_TENANT_DIDS: LimitKind
LIMIT_KIND_TENANT_EXTENSIONS: LimitKind
LIMIT_KIND_TENANT_MONTHLY_MINUTES: LimitKind
LIMIT_KIND_TENANT_MONTHLY_SPEND: LimitKind
LIMIT_KIND_UNSPECIFIED: LimitKind
LIMIT_KIND_VOICE_PROFILE_DAILY_SPEND: LimitKind
MODE_CHECK_ONLY: Mode
MODE_COMMIT: Mode
MODE_PARTIAL: Mode
MODE_RESERVE: Mode
MODE_UNSPECIFIED: Mode
OVERAGE_POLICY_CAP: OveragePolicy
OVERAGE_POLICY_RECORD: OveragePolicy
OVERAGE_POLICY_REJECT: OveragePolicy
OVERAGE_POLICY_UNSPECIFIED: OveragePolicy
RESOURCE_CALL_SECONDS: Resource
RESOURCE_CONCURRENT_CALLS: Resource
RESOURCE_DIDS: Resource
RESOURCE_EXTENSIONS: Resource
RESOURCE_MESSAGES: Resource
RESOURCE_SPEND: Resource
RESOURCE_UNSPECIFIED: Resource
TENANT_STATUS_ACTIVE: TenantStatus
TENANT_STATUS_CLOSED: TenantStatus
TENANT_STATUS_SUSPENDED: TenantStatus
TENANT_STATUS_UNSPECIFIED: TenantStatus
TREATMENT_BILLING_SUSPENDED: Treatment
TREATMENT_BLOCK_CALL: Treatment
TREATMENT_REJECT: Treatment
TREATMENT_SERVICE_INTERRUPTED: Treatment
TREATMENT_UNSPECIFIED: Treatment

class CheckAndReserveBatchRequest(_message.Message):
    __slots__ = ["requests"]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[CheckAndReserveRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[CheckAndReserveRequest, _Mapping]]] = ...) -> None: ...

class CheckAndReserveBatchResponse(_message.Message):
    __slots__ = ["results"]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CheckAndReserveResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CheckAndReserveResult, _Mapping]]] = ...) -> None: ...

class CheckAndReserveRequest(_message.Message):
    __slots__ = ["action", "idempotency_key", "include_limits", "messaging_profile_id", "mode", "on_expiry", "overage", "quantities", "reference", "tenant_id", "ttl_ms", "voice_profile_id"]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    MESSAGING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    VOICE_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    action: Action
    idempotency_key: str
    include_limits: bool
    messaging_profile_id: str
    mode: Mode
    on_expiry: ExpiryPolicy
    overage: OveragePolicy
    quantities: _containers.RepeatedCompositeFieldContainer[Quantity]
    reference: str
    tenant_id: str
    ttl_ms: int
    voice_profile_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., messaging_profile_id: _Optional[str] = ..., action: _Optional[_Union[Action, str]] = ..., quantities: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., idempotency_key: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., on_expiry: _Optional[_Union[ExpiryPolicy, str]] = ..., overage: _Optional[_Union[OveragePolicy, str]] = ..., include_limits: bool = ..., reference: _Optional[str] = ..., voice_profile_id: _Optional[str] = ...) -> None: ...

class CheckAndReserveResponse(_message.Message):
    __slots__ = ["decision", "errors", "expires_at_ms", "granted", "limits", "replayed", "reservation_id", "status_code", "tenant_status", "treatment", "warnings"]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    TENANT_STATUS_FIELD_NUMBER: _ClassVar[int]
    TREATMENT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    errors: _containers.RepeatedCompositeFieldContainer[Error]
    expires_at_ms: int
    granted: _containers.RepeatedCompositeFieldContainer[Quantity]
    limits: _containers.RepeatedCompositeFieldContainer[LimitState]
    replayed: bool
    reservation_id: int
    status_code: int
    tenant_status: TenantStatus
    treatment: Treatment
    warnings: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., reservation_id: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., limits: _Optional[_Iterable[_Union[LimitState, _Mapping]]] = ..., granted: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., treatment: _Optional[_Union[Treatment, str]] = ..., replayed: bool = ..., warnings: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., status_code: _Optional[int] = ..., tenant_status: _Optional[_Union[TenantStatus, str]] = ...) -> None: ...

class CheckAndReserveResult(_message.Message):
    __slots__ = ["errors", "response", "status_code"]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    errors: _containers.RepeatedCompositeFieldContainer[Error]
    response: CheckAndReserveResponse
    status_code: int
    def __init__(self, response: _Optional[_Union[CheckAndReserveResponse, _Mapping]] = ..., status_code: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[Error, _Mapping]]] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ["actual", "reservation_id", "tenant_id"]
    ACTUAL_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    actual: _containers.RepeatedCompositeFieldContainer[Quantity]
    reservation_id: int
    tenant_id: str
    def __init__(self, reservation_id: _Optional[int] = ..., actual: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ["committed", "late", "replayed", "tenant_status", "uncharged", "warnings"]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    TENANT_STATUS_FIELD_NUMBER: _ClassVar[int]
    UNCHARGED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    committed: _containers.RepeatedCompositeFieldContainer[Quantity]
    late: bool
    replayed: bool
    tenant_status: TenantStatus
    uncharged: _containers.RepeatedCompositeFieldContainer[Quantity]
    warnings: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, committed: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., uncharged: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., late: bool = ..., replayed: bool = ..., warnings: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., tenant_status: _Optional[_Union[TenantStatus, str]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ["code", "detail", "limit", "meta", "resets_at_ms", "source", "state", "title"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    limit: LimitKind
    meta: ErrorMeta
    resets_at_ms: int
    source: ErrorSource
    state: LimitState
    title: str
    def __init__(self, code: _Optional[str] = ..., title: _Optional[str] = ..., detail: _Optional[str] = ..., meta: _Optional[_Union[ErrorMeta, _Mapping]] = ..., source: _Optional[_Union[ErrorSource, _Mapping]] = ..., limit: _Optional[_Union[LimitKind, str]] = ..., state: _Optional[_Union[LimitState, _Mapping]] = ..., resets_at_ms: _Optional[int] = ...) -> None: ...

class ErrorMeta(_message.Message):
    __slots__ = ["url"]
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class ErrorSource(_message.Message):
    __slots__ = ["parameter", "pointer"]
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    POINTER_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    pointer: str
    def __init__(self, pointer: _Optional[str] = ..., parameter: _Optional[str] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ["additional", "idempotency_key", "mode", "reservation_id", "tenant_id", "ttl_ms"]
    ADDITIONAL_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    additional: _containers.RepeatedCompositeFieldContainer[Quantity]
    idempotency_key: str
    mode: Mode
    reservation_id: int
    tenant_id: str
    ttl_ms: int
    def __init__(self, reservation_id: _Optional[int] = ..., ttl_ms: _Optional[int] = ..., additional: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., idempotency_key: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class ExtendResponse(_message.Message):
    __slots__ = ["decision", "errors", "expires_at_ms", "granted", "replayed", "treatment", "warnings"]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    TREATMENT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    errors: _containers.RepeatedCompositeFieldContainer[Error]
    expires_at_ms: int
    granted: _containers.RepeatedCompositeFieldContainer[Quantity]
    replayed: bool
    treatment: Treatment
    warnings: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., expires_at_ms: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., replayed: bool = ..., treatment: _Optional[_Union[Treatment, str]] = ..., granted: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[Error, _Mapping]]] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ["messaging_profile_id", "tenant_id", "voice_profile_id"]
    MESSAGING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    messaging_profile_id: str
    tenant_id: str
    voice_profile_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., messaging_profile_id: _Optional[str] = ..., voice_profile_id: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ["limits", "tenant_status"]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TENANT_STATUS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[LimitState]
    tenant_status: TenantStatus
    def __init__(self, tenant_status: _Optional[_Union[TenantStatus, str]] = ..., limits: _Optional[_Iterable[_Union[LimitState, _Mapping]]] = ...) -> None: ...

class LimitState(_message.Message):
    __slots__ = ["as_of_ms", "blocking", "cap", "cap_hidden", "committed", "held", "limit", "resets_at_ms", "subject_id", "window_start_ms"]
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    BLOCKING_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    CAP_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_MS_FIELD_NUMBER: _ClassVar[int]
    as_of_ms: int
    blocking: bool
    cap: int
    cap_hidden: bool
    committed: int
    held: int
    limit: LimitKind
    resets_at_ms: int
    subject_id: str
    window_start_ms: int
    def __init__(self, limit: _Optional[_Union[LimitKind, str]] = ..., subject_id: _Optional[str] = ..., cap: _Optional[int] = ..., committed: _Optional[int] = ..., held: _Optional[int] = ..., window_start_ms: _Optional[int] = ..., resets_at_ms: _Optional[int] = ..., cap_hidden: bool = ..., blocking: bool = ..., as_of_ms: _Optional[int] = ...) -> None: ...

class Quantity(_message.Message):
    __slots__ = ["amount", "min_amount", "resource"]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MIN_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    amount: int
    min_amount: int
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, str]] = ..., amount: _Optional[int] = ..., min_amount: _Optional[int] = ...) -> None: ...

class RecordUsageRequest(_message.Message):
    __slots__ = ["action", "idempotency_key", "messaging_profile_id", "quantities", "reference", "tenant_id", "voice_profile_id"]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    action: Action
    idempotency_key: str
    messaging_profile_id: str
    quantities: _containers.RepeatedCompositeFieldContainer[Quantity]
    reference: str
    tenant_id: str
    voice_profile_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., messaging_profile_id: _Optional[str] = ..., action: _Optional[_Union[Action, str]] = ..., quantities: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., idempotency_key: _Optional[str] = ..., reference: _Optional[str] = ..., voice_profile_id: _Optional[str] = ...) -> None: ...

class RecordUsageResponse(_message.Message):
    __slots__ = ["replayed", "tenant_status", "warnings"]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    TENANT_STATUS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    replayed: bool
    tenant_status: TenantStatus
    warnings: _containers.RepeatedCompositeFieldContainer[Error]
    def __init__(self, warnings: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., tenant_status: _Optional[_Union[TenantStatus, str]] = ..., replayed: bool = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ["reservation_id", "tenant_id"]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    tenant_id: str
    def __init__(self, reservation_id: _Optional[int] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ["expired", "replayed"]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    expired: bool
    replayed: bool
    def __init__(self, replayed: bool = ..., expired: bool = ...) -> None: ...

class WatchUsageRequest(_message.Message):
    __slots__ = ["tenant_id"]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class WatchUsageResponse(_message.Message):
    __slots__ = ["limits", "snapshot_complete", "tenant_id", "tenant_status"]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_STATUS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[LimitState]
    snapshot_complete: bool
    tenant_id: str
    tenant_status: TenantStatus
    def __init__(self, tenant_id: _Optional[str] = ..., tenant_status: _Optional[_Union[TenantStatus, str]] = ..., limits: _Optional[_Iterable[_Union[LimitState, _Mapping]]] = ..., snapshot_complete: bool = ...) -> None: ...

class Resource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class LimitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ExpiryPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class OveragePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Treatment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class TenantStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
