import pytest
from pydantic import ValidationError

from streams.formats import SchemaRegistrySettings

URL = "https://registry.example"


def test_secrets_reach_the_client_and_nothing_else(tmp_path):
    file = tmp_path / "password"
    file.write_text("hush-hush\n")
    for secret in ({"password": "hush-hush"}, {"password_file": file}):
        settings = SchemaRegistrySettings(
            url=URL,
            username="weir",
            **secret,
            ssl_certificate_location=file,
            ssl_key_password="hush-key",
            properties={"bearer.auth.token": "hush-token"},
        )
        config = settings.client_config()
        assert config["basic.auth.user.info"] == "weir:hush-hush"
        assert config["ssl.key.password"] == "hush-key"
        assert config["bearer.auth.token"] == "hush-token"
        shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.model_dump()}"
        assert "hush" not in shown


def test_tls(tmp_path):
    files = {}
    for name in ("ca", "certificate", "key"):
        file = tmp_path / name
        file.touch()
        files[f"ssl_{name}_location"] = file
    config = SchemaRegistrySettings(url=URL, **files).client_config()
    for name, file in files.items():
        assert config[name.replace("_", ".")] == str(file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "registry:8081"}, "url"),
        ({"url": "https://me:secret@registry"}, "url"),
        ({"url": "https://a,b"}, "url"),
        ({"password": "x"}, "username and password go together"),
        ({"username": "u"}, "username and password go together"),
        ({"username": "u", "password": "x", "password_file": __file__}, "not both"),
        ({"password_file": "/no/such/file"}, "there is no file"),
        ({"ssl_key_location": __file__}, "set ssl_certificate_location"),
        ({"ssl_ca_location": "/no/such/file"}, "there is no file"),
        ({"timeout": 5}, "unit"),
        ({"properties": {"basic.auth.user.info": "u:x"}}, "use username and password"),
    ],
)
def test_what_does_not_fit(settings, message):
    with pytest.raises(ValidationError, match=message):
        SchemaRegistrySettings(**settings)
