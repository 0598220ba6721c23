"""What a server is told from outside: environment (``ESRP_…``), then the YAML file that ``ESRP_CONFIG`` names."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from esrp.api import Thresholds

Network = IPv4Network | IPv6Network


class ModelSettings(BaseModel):
    """A model the operator pays for. The key stands here or in the variable that ``api_key_env`` names."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    base_url: str = Field(pattern=r"^https?://[^\s/]+")
    model: str = Field(min_length=1)
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    max_concurrency: int = Field(64, ge=1)
    params: dict[str, Any] | None = Field(None, description="replaces the role's default sampling parameters")

    def key(self) -> str | None:
        """The API key, if there is one."""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        return os.environ.get(self.api_key_env) if self.api_key_env else None


class ServeSettings(BaseModel):
    """A vLLM that the judge service starts and keeps running: a base model with one adapter on it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str = Field(min_length=1)
    adapter: Path
    python: str | None = Field(None, description="the one that vLLM is installed for; else ESRP_VLLM_PYTHON, or ours")
    port: int | None = Field(None, ge=1, le=65535)
    cpu: bool = False


class JudgeSettings(ModelSettings):
    """A judge that runs can ask for by its name."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    kind: Literal["chat", "lora"] = "chat"
    structured: bool = Field(False, description="its endpoint knows `response_format` of type `json_schema`")
    tokenizer: str | None = None
    base_model: str | None = Field(None, description="what an adapter stands on, for the manifest of a run")
    max_tokens_in_flight: int = Field(131_072, ge=1, description="of prompts; 40 dialogues of the paper's size")
    serve: ServeSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_where_its_vllm_is(cls, given: Any) -> Any:
        """One that we serve ourselves needs no ``base_url``: its vLLM takes a free port."""
        served = isinstance(given, dict) and given.get("serve") is not None
        return {"base_url": "http://127.0.0.1", **given} if served else given

    @model_validator(mode="after")
    def _is_served_only_as_lora(self) -> "JudgeSettings":
        if self.serve is not None and self.kind != "lora":
            raise ValueError("`serve` is for judges of kind lora")
        return self

    @property
    def base(self) -> str | None:
        """The model under the adapter, without the folder that it may lie in."""
        named = self.base_model or (self.serve and self.serve.model)
        return Path(named).name if named else None


class ServiceUrls(BaseModel):
    """Where the gateway finds the others: ``unix:/path`` or ``http://host:port``."""

    generator: str = "http://generator:8000"
    judge: str = "http://judge:8000"
    analytics: str = "http://analytics:8000"


class TimeoutSettings(BaseModel):
    """Seconds that a call to a model may take: to connect, without a byte of the answer, and in all."""

    model_config = ConfigDict(extra="forbid")

    connect: float = Field(10, gt=0, le=60)
    first_byte: float = Field(90, gt=0, le=120)
    total: float = Field(120, gt=0, le=120)


class LimitSettings(BaseModel):
    """What a client may take of a service, with a key or without (docs/limits.md)."""

    model_config = ConfigDict(extra="forbid")

    # Half of it is what Node allows in all; a request of ours with key, cursor and trace headers takes 1 to 2 KiB.
    header_bytes: int = Field(32 << 10, ge=1024, description="of request line and headers together")
    # As Apache; a browser behind two proxies sends 30.
    header_count: int = Field(100, ge=10)
    # A header is one packet or two: this is for a phone that loses some. It also ends a silent new connection.
    header_seconds: float = Field(10, gt=0, description="until a header is complete, from its first byte")
    # The usual load balancers let go after 60: it is them that should close, not we while they send.
    idle_seconds: int = Field(75, ge=1, description="between two requests of a connection")
    # Longer than any retransmission that still succeeds; a body that trickles stays, but makes room when it is needed.
    body_seconds: float = Field(30, gt=0, description="without a byte of a body")
    # Of progress: a slow reader of a long answer is not ended, one that has gone without a word is.
    send_seconds: float = Field(60, gt=0, description="without a byte of an answer being read")
    # Each takes some 20 KiB; of `nofile` at most half is used, whatever stands here.
    connections: int = Field(4096, ge=1, description="at once, in each process")


class Settings(BaseSettings):
    """Settings that every service reads; each has a default only where one is safe."""

    model_config = SettingsConfigDict(
        env_prefix="ESRP_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    database_url: str
    redis_url: str
    listen: str = "tcp:127.0.0.1:8000"
    services: ServiceUrls = ServiceUrls()
    secret_key_file: Path
    allowed_networks: list[Network] = []
    simulator: ModelSettings | None = None
    writer: ModelSettings | None = None
    judges: list[JudgeSettings] = []
    validation: Thresholds = Field(Thresholds(), description="what a judge's card must show (docs/judge-cards.md)")
    timeouts: TimeoutSettings = TimeoutSettings()
    log_format: Literal["console", "json"] = "json"
    bootstrap_key: SecretStr | None = None
    rate_limit_per_minute: int = Field(600, ge=1)
    body_limit: int = Field(1 << 20, ge=1024)
    upload_limit: int = Field(64 << 20, ge=1024)
    limits: LimitSettings = LimitSettings()
    open_scores: bool = Field(False, description="the judge's POST /v1/scores answers without the internal token")

    @field_validator("judges")
    @classmethod
    def _judges_have_their_own_names(cls, judges: list[JudgeSettings]) -> list[JudgeSettings]:
        names = [judge.name for judge in judges]
        if len(set(names)) != len(names):
            raise ValueError(f"two judges have one name: {', '.join(names)}")
        return judges

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        if path := os.environ.get("ESRP_CONFIG"):
            sources += (YamlConfigSettingsSource(settings_cls, yaml_file=path),)
        return sources

    def judge(self, name: str) -> JudgeSettings | None:
        """The judge of that name, if it is configured."""
        return next((judge for judge in self.judges if judge.name == name), None)


def load() -> Settings:
    """The settings of this process. Called once, in ``__main__``."""
    return Settings()
