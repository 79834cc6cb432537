<?php
// What Apache's configuration does for SimpleSAMLphp: /simplesaml/script.php/info becomes script and PATH_INFO, and other files are sent.
$www = getenv('STINT_TEST_WWW');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$types = ['css' => 'text/css', 'js' => 'text/javascript', 'png' => 'image/png', 'ico' => 'image/x-icon'];
if (preg_match('#^/simplesaml(/[A-Za-z0-9_./-]+\.(css|js|png|ico))$#', $path, $m) && strpos($m[1], '..') === false && is_file($www . $m[1])) {
    header('Content-Type: ' . $types[$m[2]]);
    readfile($www . $m[1]);
    exit;
}
if (!preg_match('#^/simplesaml(/[A-Za-z0-9_./-]+?\.php)(/.*)?$#', $path, $m) || strpos($m[1], '..') !== false || !is_file($www . $m[1])) {
    http_response_code(404);
    exit;
}
$_SERVER['SCRIPT_NAME'] = '/simplesaml' . $m[1];
$_SERVER['SCRIPT_FILENAME'] = $www . $m[1];
$_SERVER['PHP_SELF'] = $_SERVER['SCRIPT_NAME'] . ($m[2] ?? '');
$_SERVER['PATH_INFO'] = $m[2] ?? '';
chdir(dirname($www . $m[1]));
require $www . $m[1];
