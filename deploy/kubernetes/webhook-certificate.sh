#!/usr/bin/env bash
# Gives the webhook a self-signed certificate for a year, where no cert-manager runs: writes the Secret stint-webhook-tls, and the
# certificate into the MutatingWebhookConfiguration. Run it after "kubectl apply -f webhook.yaml", and again to renew; the webhook reads
# the new Secret by itself, within two minutes or so. Until it has, the API server trusts it no more than failurePolicy says.
set -euo pipefail
namespace=stint-webhook
name=stint-webhook.$namespace.svc
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
	-addext "extendedKeyUsage=serverAuth" -keyout "$dir/tls.key" -out "$dir/tls.crt" 2>/dev/null
kubectl -n "$namespace" create secret tls stint-webhook-tls --cert="$dir/tls.crt" --key="$dir/tls.key" --dry-run=client -o yaml |
	kubectl apply -f - >/dev/null
bundle=$(base64 <"$dir/tls.crt" | tr -d '\n')
kubectl patch mutatingwebhookconfiguration stint-webhook --type=json -p "[
	{\"op\": \"add\", \"path\": \"/webhooks/0/clientConfig/caBundle\", \"value\": \"$bundle\"},
	{\"op\": \"add\", \"path\": \"/webhooks/1/clientConfig/caBundle\", \"value\": \"$bundle\"}
]" >/dev/null
echo "the webhook has a certificate for $name until $(openssl x509 -in "$dir/tls.crt" -noout -enddate | cut -d= -f2)" >&2
