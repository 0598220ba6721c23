"""What a server is told from outside: environment (``ESRP_…``), then the YAML file that ``ESRP_CONFIG`` names."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

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


class JudgeSettings(ModelSettings):
    """A judge that runs can ask for by its name."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    kind: Literal["chat", "lora"] = "chat"
    tokenizer: str | None = None


class ServiceUrls(BaseModel):
    """Where the gateway finds the others: ``unix:/path`` or ``http://host:port``."""

    generator: str = "http://generator:8000"
    judge: str = "http://judge:8000"
    analytics: str = "http://analytics:8000"


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
    log_format: Literal["console", "json"] = "json"
    bootstrap_key: SecretStr | None = None
    rate_limit_per_minute: int = Field(600, ge=1)
    body_limit: int = Field(1 << 20, ge=1024)
    upload_limit: int = Field(64 << 20, ge=1024)

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
