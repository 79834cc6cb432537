<?php
$test = json_decode(file_get_contents(__DIR__ . '/test.json'), true);
$users = ['exampleauth:UserPass'];
foreach ($test['users'] as $user) {
    $users[$user['name'] . ':' . $user['password']] = $user['attributes'] + ['uid' => [$user['name']]];
}
$config = ['test' => $users];
