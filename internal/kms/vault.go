package kms

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/seal"
)

// transit is a key of Vault's transit engine (page "Transit secrets engine (API)"). Its type must take associated data:
// aes256-gcm96, which is the default, or chacha20-poly1305.
type transit struct {
	client    *vault.Client
	path      string // mount, for the path of a request
	key       string
	name      string // without the version
	tokenFile string
}

func newVault(a address, o Options) (envelope.KEK, error) {
	if o.VaultTokenFile == "" {
		return nil, errors.New("the token of Vault is missing: name its file in DEFENDERD_VAULT_TOKEN_FILE")
	}
	connections := http.DefaultTransport.(*http.Transport).Clone()
	limit(o.RootCAs)(connections)
	c, err := vault.NewClient(&vault.Config{
		Address: a.endpoint, HttpClient: &http.Client{Transport: connections}, Timeout: callWithin, MaxRetries: 1, MinRetryWait: 100 * time.Millisecond, MaxRetryWait: time.Second,
	})
	if err != nil {
		return nil, errors.New("the address of Vault is not usable") // the error could show it
	}
	if a.namespace != "" {
		c.SetNamespace(a.namespace)
	}
	name := schemeVault + "://" + strings.Trim(a.namespace+"/"+a.mount+"/"+a.key, "/")
	return watch(&transit{c, strings.Trim(a.mount, "/"), a.key, name, o.VaultTokenFile}, o.Observer), nil
}

// Wrap encrypts with the newest version of the key, which the name ends with.
func (t *transit) Wrap(ctx context.Context, clear seal.Secret, place string) (string, []byte, error) {
	data, err := t.write(ctx, "encrypt", map[string]any{
		"plaintext": base64.StdEncoding.EncodeToString([]byte(clear.Reveal())), "associated_data": base64.StdEncoding.EncodeToString([]byte(place)),
	})
	if err != nil {
		return "", nil, unavailable(err)
	}
	text, ok := data["ciphertext"].(string)
	version, _, cut := strings.Cut(strings.TrimPrefix(text, "vault:"), ":")
	if !ok || !cut || version == text {
		return "", nil, unavailable(errors.New("vault answered without a ciphertext"))
	}
	return t.name + "#" + version, []byte(text), nil
}

func (t *transit) Opens(name string) bool {
	base, _, _ := strings.Cut(name, "#")
	return base == t.name
}

func (t *transit) Unwrap(ctx context.Context, _ string, wrapped []byte, place string) (seal.Secret, error) {
	data, err := t.write(ctx, "decrypt", map[string]any{
		"ciphertext": string(wrapped), "associated_data": base64.StdEncoding.EncodeToString([]byte(place)),
	})
	var told *vault.ResponseError
	if errors.As(err, &told) && told.StatusCode == http.StatusBadRequest { // not its ciphertext, damaged, or of another place
		return seal.Secret{}, fmt.Errorf("%q refused to decrypt: %w", t.name, seal.ErrUnreadable)
	}
	if err != nil {
		return seal.Secret{}, unavailable(err)
	}
	text, ok := data["plaintext"].(string)
	clear, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return seal.Secret{}, unavailable(errors.New("vault answered without a plaintext"))
	}
	return seal.NewSecret(string(clear)), nil
}

func (t *transit) write(ctx context.Context, operation string, data map[string]any) (map[string]any, error) {
	token, err := os.ReadFile(t.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the token of Vault: %w", err)
	}
	t.client.SetToken(strings.TrimSpace(string(token)))
	answer, err := t.client.Logical().WriteWithContext(ctx, t.path+"/"+operation+"/"+t.key, data)
	if err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, errors.New("vault answered without data")
	}
	return answer.Data, nil
}
