<?php
$test = json_decode(file_get_contents(__DIR__ . '/../test.json'), true);
foreach ($test['parties'] as $party) {
    $metadata[$party['entityID']] = [
        'AssertionConsumerService' => $party['acs'],
        'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        'simplesaml.nameidattribute' => 'uid',
        'saml20.sign.response' => $party['signResponse'],
        'saml20.sign.assertion' => $party['signAssertion'],
        'validate.authnrequest' => $party['requestCertificate'] !== null,
        'assertion.encryption' => $party['encryptionCertificate'] !== null,
        'keys' => array_values(array_filter([
            ['type' => 'X509Certificate', 'signing' => true, 'encryption' => false, 'X509Certificate' => $party['requestCertificate']],
            ['type' => 'X509Certificate', 'signing' => false, 'encryption' => true, 'X509Certificate' => $party['encryptionCertificate']],
        ], function ($key) { return $key['X509Certificate'] !== null; })),
    ];
}
