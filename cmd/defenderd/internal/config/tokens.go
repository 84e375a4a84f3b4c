package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"pgp.internal/defender/internal/identity"
)

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return errors.New("must be at most 255 characters without white space")
		}
		*field(c) = text
		return nil
	}
}

func parseIssuer(c *Config, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL without query, such as https://login.example.com")
	}
	c.TokenIssuer = text
	return nil
}

func parseAlgorithms(c *Config, text string) error {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(identity.Algorithms(), name) {
			return fmt.Errorf("must be some of %s", strings.Join(identity.Algorithms(), ", "))
		}
		c.TokenAlgorithms = append(c.TokenAlgorithms, name)
	}
	return nil
}

// parseKeysFile asks that keys can be read: they are read again later.
func parseKeysFile(c *Config, text string) error {
	body, err := os.ReadFile(text)
	if err != nil {
		return fmt.Errorf("the file cannot be read: %w", reason(err))
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) == 0 {
		return errors.New("the file holds no keys in JWKS form, {\"keys\":[...]}")
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return errors.New("the file holds a private or shared key; only public ones belong there")
		}
	}
	c.TokenKeysFile = text
	return nil
}
