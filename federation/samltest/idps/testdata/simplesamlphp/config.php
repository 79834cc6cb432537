<?php
// An identity provider on loopback, for a test. What differs from one test to another is in test.json beside this file.
$test = json_decode(file_get_contents(__DIR__ . '/test.json'), true);
$config = [
    'baseurlpath' => $test['url'] . '/simplesaml/',
    'certdir' => __DIR__ . '/',
    'loggingdir' => __DIR__ . '/',
    'datadir' => __DIR__ . '/',
    'tempdir' => __DIR__ . '/tmp',
    'metadatadir' => __DIR__ . '/metadata/',
    'attributenamemapdir' => $test['root'] . '/attributemap/',
    'timezone' => 'UTC',
    'secretsalt' => $test['salt'],
    'auth.adminpassword' => $test['salt'],
    'technicalcontact_name' => 'test',
    'technicalcontact_email' => 'test@example.com',
    'logging.level' => SimpleSAML\Logger::DEBUG,
    'logging.handler' => 'file',
    'logging.logfile' => 'simplesamlphp.log',
    'enable.saml20-idp' => true,
    'module.enable' => ['core' => true, 'saml' => true, 'exampleauth' => true],
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'session.phpsession.savepath' => __DIR__ . '/tmp',
    'store.type' => 'phpsession',
    'language.available' => ['en'],
    'language.default' => 'en',
    'metadata.sources' => [['type' => 'flatfile']],
];
