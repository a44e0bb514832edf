//! The devices of an input, numbered: each text is parsed once, not once per row.

use std::collections::HashMap;
use tidelog::model::{Device, NameError};

/// Devices by number. Texts that mean the same device (labels in another order) share a number.
#[derive(Debug, Default)]
pub(crate) struct DeviceTable {
    by_text: HashMap<Box<str>, usize>,
    by_device: HashMap<Device, usize>,
    devices: Vec<Device>,
    /// Most files stay with one device for a while.
    last: String,
    last_number: Option<usize>,
}

impl DeviceTable {
    /// The number of the device that a text means.
    ///
    /// # Errors
    /// When the text is no device.
    pub(crate) fn number(&mut self, text: &str) -> Result<usize, NameError> {
        if let Some(number) = self.last_number
            && self.last == text
        {
            return Ok(number);
        }
        let number = match self.by_text.get(text) {
            Some(number) => *number,
            None => {
                let number = self.add(Device::parse(text)?);
                self.by_text.insert(text.into(), number);
                number
            }
        };
        self.last.clear();
        self.last.push_str(text);
        self.last_number = Some(number);
        Ok(number)
    }

    /// The number of a device.
    pub(crate) fn add(&mut self, device: Device) -> usize {
        if let Some(number) = self.by_device.get(&device) {
            return *number;
        }
        let number = self.devices.len();
        self.devices.push(device.clone());
        self.by_device.insert(device, number);
        number
    }

    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// The device with this number.
    ///
    /// # Panics
    /// When the table did not give the number out.
    pub(crate) fn at(&self, number: usize) -> &Device {
        &self.devices[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_device_share_its_number() {
        let mut devices = DeviceTable::default();
        let pump = devices.number("pump,a=1,b=2").unwrap();
        assert_eq!(devices.number("fan").unwrap(), 1);
        assert_eq!(devices.number("pump,b=2,a=1").unwrap(), pump);
        assert_eq!(devices.number("two words").unwrap(), devices.number("two\\ words").unwrap());
        assert_eq!(devices.at(pump).as_str(), "pump,a=1,b=2");
        assert_eq!(devices.len(), 3);
        assert!(devices.number("").is_err());
        assert!(devices.number("a\nb").is_err());
    }
}
