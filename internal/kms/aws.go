package kms

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/seal"
)

// awsKey is a symmetric key of AWS KMS. The place goes along as encryption context, which is authenticated and shows in
// CloudTrail (page "Encryption context"). KMS rotates such a key by itself under the same ARN, and still opens what older
// material has wrapped (page "Rotate AWS KMS keys").
type awsKey struct {
	client *kms.Client
	arn    string
}

// newAWS takes the credentials that the SDK finds in its usual places: variables, a web identity, the machine's role.
func newAWS(ctx context.Context, a address, o Options) (envelope.KEK, error) {
	client := awshttp.NewBuildableClient().WithTimeout(callWithin).WithTransportOptions(limit(o.RootCAs))
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(a.region), config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 2) }))
	if err != nil {
		return nil, fmt.Errorf("settings of AWS: %w", err)
	}
	c := kms.NewFromConfig(cfg, func(options *kms.Options) {
		if a.endpoint != "" {
			options.BaseEndpoint = &a.endpoint
		}
	})
	return watch(&awsKey{c, a.key}, o.Observer), nil
}

func (k *awsKey) name() string { return schemeAWS + ":///" + k.arn }

func (k *awsKey) Wrap(ctx context.Context, clear seal.Secret, place string) (string, []byte, error) {
	answer, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &k.arn, Plaintext: []byte(clear.Reveal()), EncryptionContext: contextOf(place)})
	if err != nil {
		return "", nil, unavailable(err)
	}
	return k.name(), answer.CiphertextBlob, nil
}

func (k *awsKey) Opens(name string) bool { return name == k.name() }

func (k *awsKey) Unwrap(ctx context.Context, _ string, wrapped []byte, place string) (seal.Secret, error) {
	answer, err := k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.arn, CiphertextBlob: wrapped, EncryptionContext: contextOf(place)})
	var invalid *types.InvalidCiphertextException
	var foreign *types.IncorrectKeyException
	if errors.As(err, &invalid) || errors.As(err, &foreign) {
		return seal.Secret{}, fmt.Errorf("%q refused to decrypt: %w", k.name(), seal.ErrUnreadable)
	}
	if err != nil {
		return seal.Secret{}, unavailable(err)
	}
	return seal.NewSecret(string(answer.Plaintext)), nil
}

func contextOf(place string) map[string]string { return map[string]string{"place": place} }
