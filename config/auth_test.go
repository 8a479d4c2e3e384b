package config_test

import (
	"strings"
	"testing"
)

// A key that a type does not use is a mistake: a secret under it would never be sent.
func TestAuthKeysOfOtherTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir+"/file", "x", 0o600)
	for key, value := range map[string]string{
		"token_url": "https://h/token", "discover": "true", "token_method": "GET", "client_auth": "basic", "client_id": "a", "client_secret": "b", "scope": "c",
		"require_scope": "true", "private_key": "d", "private_key_file": "file", "key_id": "e", "jku": "https://h/jwks", "app_user_id": "f", "oneup_user_id": "7",
		"code": "g", "code_file": "file", "refresh_token": "h", "refresh_token_store": "i", "code_url": "https://h/code", "names": "{user: j}", "token": "k",
	} {
		_, err := parse(strings.Replace(minimal, "{type: none}", "{type: none, "+key+": "+value+"}", 1), dir)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "sources.s.auth."+key+": is not used with type none, which takes no other keys") {
			t.Errorf("%s: %v", key, err)
		}
	}
	_, err := parse(strings.Replace(minimal, "{type: none}", "{client_id: a, client_secret: b}", 1), dir)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "sources.s.auth.type: missing") {
		t.Errorf("without a type: %v", err)
	}
}
