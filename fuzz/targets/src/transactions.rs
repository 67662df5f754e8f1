pub fn transactions(_data: &[u8]) {}
