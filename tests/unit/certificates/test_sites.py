"""Which servers of nginx have a certificate, by its configuration."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import sites
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import syntax

CONFIG = """# configuration file /etc/nginx/nginx.conf:
http {
  ssl_certificate /le/live/shared/fullchain.pem;
  server { listen 443 ssl default_server; server_name a.example.com; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen [::]:443 ssl; listen 443; server_name b.example.com .c.example.com; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen 127.0.0.1:8443 ssl proxy_protocol; server_name _; ssl_certificate ../../le/live/shop/fullchain.pem; }
  server { listen 443 ssl; server_name _; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen 445 ssl; server_name shared.example.com; }
  server { listen 80; server_name plain.example.com; }
  server { listen 444 ssl; server_name both.example.com;
           ssl_certificate /le/live/two/fullchain.pem; ssl_certificate /le/live/two/rsa.pem; }
}
stream { server { listen 853 ssl; ssl_certificate /le/live/shop/fullchain.pem; } }
"""


def test_the_servers_of_a_certificate_are_found_with_the_name_that_leads_to_each() -> None:
    found = sites.site(syntax.parse(CONFIG, "/etc/nginx/nginx.conf"), "/le/live/shop", "/le/archive/shop", "/etc/nginx")
    assert {(one.address, one.name, one.proxied) for one in found.listeners} == {
        ("*:443", "a.example.com", False),
        ("[::]:443", "b.example.com", False),
        ("*:443", "b.example.com", False),
        ("127.0.0.1:8443", "", True),
        ("*:853", "", False),
    }
    assert found.names == {"a.example.com", "b.example.com", "c.example.com", "*.c.example.com"}


def test_what_shows_a_certificate_only_where_no_handshake_is_tried_is_a_doubt() -> None:
    """Over QUIC, or after STARTTLS. Mail that speaks TLS from the beginning is asked like any other."""
    text = """# configuration file /etc/nginx/nginx.conf:
http { server { listen 443 quic; ssl_certificate /le/live/shop/fullchain.pem; } }
mail {
  ssl_certificate /le/live/shop/fullchain.pem;
  server { listen 993 ssl; protocol imap; }
  server { listen 587; protocol smtp; starttls on; }
}
"""
    found = sites.site(syntax.parse(text, "/etc/nginx/nginx.conf"), "/le/live/shop", "/x", "/etc/nginx")
    assert [(one.address, one.name) for one in found.listeners] == [("*:993", "")]
    assert [(one.what, one.place) for one in found.doubts] == [
        ("listen 443 quic", "/etc/nginx/nginx.conf:2"),
        ("starttls on", "/etc/nginx/nginx.conf:6"),
    ]


def test_what_a_block_does_not_say_it_has_from_around_it_and_two_certificates_are_a_doubt() -> None:
    directives = syntax.parse(CONFIG, "/etc/nginx/nginx.conf")
    [shared] = sites.site(directives, "/le/live/shared", "/x", "/etc/nginx").listeners
    assert shared == ("*:445", "shared.example.com", False)
    assert "has 2 certificates" in sites.site(directives, "/le/live/two", "/x", "/etc/nginx").obstacles[0]
