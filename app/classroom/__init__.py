"""A class at one server: pupils, the teacher's page, and the page that asks for the password."""
