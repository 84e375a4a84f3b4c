package defender

import (
	"crypto/rsa"
	"crypto/sha1" // #nosec G505 -- a thumbprint is a name, not a protection
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
)

// keyPair is what an application signs in with instead of a secret.
type keyPair struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

// minKeyBits is the least length of a key: Microsoft's page "Microsoft identity platform application authentication
// certificate credentials" asks for RSA, and NIST SP 800-57 takes 2048 bits as the least.
const minKeyBits = 2048

// What may be wrong with the text of a certificate field.
type pemError struct{ code, detail string }

func (e *pemError) Error() string { return e.code }

var (
	errEncrypted = &pemError{"encrypted", "The private key is protected by a password. Take that away first, for example with \"openssl pkey -in key.pem -out plain.pem\", and paste the result."}
	errNoKey     = &pemError{"no_private_key", "There is no private key in it. Paste both: the block BEGIN PRIVATE KEY and the block BEGIN CERTIFICATE."}
	errKeyForm   = &pemError{"invalid_format", "The private key cannot be read. It must be PEM in PKCS#8 (BEGIN PRIVATE KEY) or PKCS#1 (BEGIN RSA PRIVATE KEY)."}
	errKeyKind   = &pemError{"not_rsa", "The private key is not RSA. Microsoft Entra ID takes RSA keys only."}
	errKeyShort  = &pemError{"too_short", "The private key is shorter than 2048 bits. Make a new key and certificate."}
	errNoCert    = &pemError{"no_certificate", "There is no certificate in it. Paste both: the block BEGIN PRIVATE KEY and the block BEGIN CERTIFICATE."}
	errCertForm  = &pemError{"invalid_format", "A certificate in it cannot be read. It must be PEM (BEGIN CERTIFICATE)."}
	errForeign   = &pemError{"key_mismatch", "The certificate does not belong to the private key. Paste the two that were made together."}
	errTwoKeys   = &pemError{"two_keys", "There is more than one private key in it. Paste one, with its certificate."}
	errNoPEM     = &pemError{"invalid_format", "This is no PEM. Paste the text of the private key and of the certificate, each with its BEGIN and END line; a .pfx or .p12 file has to be converted first."}
)

// readKeyPair finds the private key in a text of PEM blocks, and among its certificates the one that belongs to it. Its
// errors are pemErrors, and repeat nothing of the text.
func readKeyPair(text string) (keyPair, error) {
	key, certificates, err := readBlocks([]byte(text))
	switch {
	case err != nil:
		return keyPair{}, err
	case key == nil && len(certificates) == 0:
		return keyPair{}, errNoPEM
	case key == nil:
		return keyPair{}, errNoKey
	case len(certificates) == 0:
		return keyPair{}, errNoCert
	}
	for _, c := range certificates {
		if key.PublicKey.Equal(c.PublicKey) {
			return keyPair{key, c}, nil
		}
	}
	return keyPair{}, errForeign
}

// readBlocks collects what a text holds of either kind; other blocks and the text between them do not matter.
func readBlocks(rest []byte) (key *rsa.PrivateKey, certificates []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return key, certificates, nil
		}
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errCertForm
			}
			certificates = append(certificates, c)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if key != nil {
				return nil, nil, errTwoKeys
			}
			if key, err = readKey(block); err != nil {
				return nil, nil, err
			}
		}
	}
}

func readKey(block *pem.Block) (*rsa.PrivateKey, error) {
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errEncrypted
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errKeyKind
	}
	private, isRSA := key.(*rsa.PrivateKey)
	switch {
	case err != nil:
		return nil, errKeyForm
	case !isRSA:
		return nil, errKeyKind
	case private.N.BitLen() < minKeyBits:
		return nil, errKeyShort
	}
	return private, nil
}

// text is the pair as it is sealed: the key in PKCS#8 and its certificate, without whatever else was pasted.
func (p keyPair) text() (string, error) {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})), nil
}

// hint is the end of the thumbprint that Microsoft's portal shows beside an uploaded certificate.
func (p keyPair) hint() string {
	sum := sha1.Sum(p.certificate.Raw) // #nosec G401 -- see above
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	return "…" + digits[len(digits)-6:]
}

// checkCertificate reads what stands in the certificate field, or says what is wrong with it.
func checkCertificate(text string, now time.Time) (keyPair, *fault.Field) {
	field := func(code, detail string) (keyPair, *fault.Field) {
		return keyPair{}, &fault.Field{Pointer: pointerCertificate, Code: code, Detail: detail}
	}
	if text == "" {
		return field("required", "Paste the private key and the certificate in PEM.")
	}
	pair, err := readKeyPair(strings.TrimFunc(text, isSpace))
	if wrong := (*pemError)(nil); errors.As(err, &wrong) {
		return field(wrong.code, wrong.detail)
	}
	const day = "2 January 2006"
	switch c := pair.certificate; {
	case !now.Before(c.NotAfter):
		return field("expired", "The certificate expired on "+c.NotAfter.UTC().Format(day)+". Make a new one, upload it to the app registration and paste it here.")
	case now.Before(c.NotBefore):
		return field("not_yet_valid", "The certificate is valid only from "+c.NotBefore.UTC().Format(day)+" on.")
	}
	return pair, nil
}
