// A Node-RED without editor, for the test.
module.exports = {
    disableEditor: true,
    httpAdminRoot: false,
    httpNodeRoot: false,
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { autoInstall: false, palette: { allowInstall: false } },
    credentialSecret: false,
    mqttReconnectTime: 1000,
};
