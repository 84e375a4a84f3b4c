package defender

import (
	"cmp"
	"strings"
	"unicode"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
)

// Pointers of the credential fields in the body of a Connect request.
const (
	pointerTenant      = "/credentials/tenant_id"
	pointerClient      = "/credentials/client_id"
	pointerMethod      = "/credentials/method"
	pointerSecret      = "/credentials/client_secret"
	pointerCertificate = connector.CertificatePointer
)

// Lengths of a client secret in bytes. Entra ID makes secrets of 34 to 44 characters; the bounds leave room for what
// administrators set by other tools, and still catch a copied fragment or a whole page.
const (
	minSecret = 16
	maxSecret = 256
)

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// Shape implements connector.Connector. It checks what can be known without asking Microsoft, so that typing errors are
// told at the field they are in. Ids come back as lower-case GUIDs without braces, the secret without surrounding
// white space, a certificate with its key and nothing else, and with both what they say of their name and expiry.
func (c *Connector) Shape(in connector.Credentials) (connector.Credentials, []fault.Field) {
	var fields []fault.Field
	note := func(f *fault.Field) {
		if f != nil {
			fields = append(fields, *f)
		}
	}
	out := connector.Credentials{DirectoryID: canonicalID(in.DirectoryID), ClientID: canonicalID(in.ClientID)}
	note(checkClient(out.ClientID))
	note(c.shapeProof(in, &out))
	note(checkDirectory(out.DirectoryID))
	if len(fields) == 0 && out.ClientID == out.DirectoryID {
		note(&fault.Field{Pointer: pointerClient, Code: "same_as_tenant_id",
			Detail: "Client ID and Tenant ID are the same. Copy the Application (client) ID here and the Directory (tenant) ID into Tenant ID; both are on the Overview page of the app registration."})
	}
	return out, fields
}

// shapeProof checks what the application proves itself with.
func (c *Connector) shapeProof(in connector.Credentials, out *connector.Credentials) *fault.Field {
	pasted := in.Secret.Reveal()
	out.Method = cmp.Or(in.Method, connector.MethodSecret)
	switch out.Method {
	case connector.MethodSecret:
		text := strings.TrimFunc(pasted, isSpace)
		out.Secret = seal.NewSecret(text)
		return checkSecret(text)
	case connector.MethodCertificate:
		pair, wrong := checkCertificate(pasted, c.cfg.Clock())
		if wrong != nil {
			return wrong
		}
		stored, err := pair.text()
		if err != nil {
			return &fault.Field{Pointer: pointerCertificate, Code: errKeyForm.code, Detail: errKeyForm.detail}
		}
		out.Secret, out.Hint, out.ExpiresAt = seal.NewSecret(stored), pair.hint(), pair.certificate.NotAfter.UTC()
		return nil
	case connector.MethodFederated:
		if c.cfg.FederatedTokenFile != "" {
			return nil
		}
		return &fault.Field{Pointer: pointerMethod, Code: connector.FieldNotAvailable, Detail: "Federated sign-in is not available: this service is not set up for it. Use a certificate or a client secret."}
	}
	return &fault.Field{Pointer: pointerMethod, Code: "not_allowed", Detail: "There is no such way to sign in."}
}

func checkClient(id string) *fault.Field {
	switch {
	case id == "":
		return &fault.Field{Pointer: pointerClient, Code: "required", Detail: "Enter the Application (client) ID of the app registration."}
	case !isGUID(id) || id == zeroGUID:
		return &fault.Field{Pointer: pointerClient, Code: "pattern", Detail: "This is no Application (client) ID. It is a GUID such as 8f3c1d2e-5b7a-4c1e-9d60-2a4b6c8d0e1f, shown on the Overview page of the app registration."}
	}
	return nil
}

func checkDirectory(id string) *fault.Field {
	field := func(code, detail string) *fault.Field {
		return &fault.Field{Pointer: pointerTenant, Code: code, Detail: detail + " Enter the Directory (tenant) ID, a GUID shown on the Overview page of the app registration."}
	}
	switch {
	case id == "":
		return field("required", "The Tenant ID is missing.")
	case id == zeroGUID:
		return field("pattern", "The all-zero GUID is no directory.")
	case isGUID(id):
		return nil
	case id == "common" || id == "organizations" || id == "consumers":
		return field("pattern", "This word stands for any directory, and an application signs in to exactly one.")
	case looksLikeDomain(id):
		return field("looks_like_domain", "This is a domain name.")
	}
	return field("pattern", "This is no Tenant ID.")
}

func checkSecret(secret string) *fault.Field {
	field := func(code, detail string) *fault.Field {
		return &fault.Field{Pointer: pointerSecret, Code: code, Detail: detail}
	}
	switch {
	case secret == "":
		return field("required", "Enter the Value of a client secret from Certificates & secrets.")
	case isGUID(canonicalID(secret)):
		return field("looks_like_secret_id", "This is the Secret ID, not the secret. Copy the Value column of Certificates & secrets; it is shown only once, right after creation. Create a new client secret if it is gone.")
	case strings.ContainsFunc(secret, isSpace):
		return field("whitespace", "The secret contains white space; a client secret has none. Copy the Value again with its copy button.")
	case strings.ContainsFunc(secret, notPrintable):
		return field("not_printable", "The secret contains characters that no client secret has. Copy the Value again with its copy button.")
	case len(secret) < minSecret:
		return field("too_short", "The secret is too short; part of it is missing. Copy the whole Value with its copy button.")
	case len(secret) > maxSecret:
		return field("too_long", "The secret is too long. Copy only the Value of the client secret.")
	}
	return nil
}

// canonicalID trims what copying adds to a GUID.
func canonicalID(text string) string {
	text = strings.TrimFunc(text, isSpace)
	if len(text) > 2 && text[0] == '{' && text[len(text)-1] == '}' {
		text = strings.TrimFunc(text[1:len(text)-1], isSpace)
	}
	return strings.ToLower(text)
}

// isGUID accepts the 8-4-4-4-12 form in either case, and nothing around it.
func isGUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

func looksLikeDomain(text string) bool {
	return strings.Contains(text, ".") && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '.' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// isSpace covers white space of any script and the invisible marks that copying from a web page may add.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' || r == '\u2060'
}

// notPrintable holds for anything outside the printable ASCII that Entra ID's secrets are made of.
func notPrintable(r rune) bool { return r <= ' ' || r > '~' }
