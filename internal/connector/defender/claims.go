package defender

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// claims are the parts of an access token that help to explain a refusal. Microsoft calls its tokens opaque to clients,
// and the signature is not checked here: nothing is ever granted on their word.
type claims struct {
	Roles []string `json:"roles"`
}

// readClaims reports false when the token is no readable JWT.
func readClaims(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return claims{}, false
	}
	return c, true
}
